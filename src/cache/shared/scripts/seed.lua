-- What one replica knew before the store was emptied. Counts of several replicas add up.
for _, s in ipairs(a.cards) do
  local r = card_load(s.key, s.counts_mismatches)
  local part = card_part(r, s.caller)
  if s.calls_end > second then
    r.c, part.c, r.ce = r.c + s.calls, part.c + s.calls, math.max(r.ce, s.calls_end)
  end
  if s.mismatches_end > second then
    r.m, part.m, r.me = r.m + s.mismatches, part.m + s.mismatches, math.max(r.me, s.mismatches_end)
    r.q = r.q + s.mismatches
  end
  if s.closed_end > second then r.xe = math.max(r.xe, s.closed_end) end
  card_keep(r)
end
-- Attempts under way go on: their slots are given back here, and their seats are landed here.
for _, s in ipairs(a.calls) do
  for _, key in ipairs(s.cards) do
    local r = card_load(key, s.counts_mismatches)
    r.slots[s.slot] = {ends = now + s.slot_ms, caller = s.caller}
    card_keep(r)
  end
  for i, key in ipairs(s.flights) do
    local f = flight(key)
    local taken = (f.s == 'b' or f.s == 's') and f.u > now and f.o ~= s.owner
    if not taken then
      f.o, f.s, f.u, f.h, f.p = s.owner, 's', now + s.call_ms, s.hold_ms, ARGV[s.held[i]]
      keep(f)
    end
  end
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
