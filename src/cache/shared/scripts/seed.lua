-- What one replica knew before the store was emptied. Counts of several replicas add up.
for _, s in ipairs(a.cards) do
  local r = card_load(s.key, s.counts_mismatches)
  local part = card_part(r, s.caller)
  if s.calls_end > second then
    r.c, part.c, r.ce = r.c + s.calls, part.c + s.calls, math.max(r.ce, s.calls_end)
  end
  if s.mismatches_end > second then
    r.m, part.m, r.me = r.m + s.mismatches, part.m + s.mismatches, math.max(r.me, s.mismatches_end)
  end
  if s.closed_end > second then r.xe = math.max(r.xe, s.closed_end) end
  card_keep(r)
end
for _, s in ipairs(a.spent) do
  budget_set(s.key, budget_taken(s.key) + s.micros)
end
for _, s in ipairs(a.holds) do
  local f = flight(s.key)
  if now + s.lasts_ms > (f.held_until or 0) then
    f.held_until, f.held = now + s.lasts_ms, ARGV[s.value]
    keep(f)
  end
end
end_ids(a.ids)
return {'done'}
