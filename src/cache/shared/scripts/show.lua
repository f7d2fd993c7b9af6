local shown = {'counts', 0, 0, 0, 0, 0, 0}
for _, key in ipairs(a.cards) do
  local r = card_load(key, a.counts_mismatches)
  local all = card_in_flight(r, '')
  for i, value in ipairs({r.c, r.m, all, r.ce, r.me, r.xe}) do
    shown[i + 1] = math.max(shown[i + 1], value)
  end
end
return shown
