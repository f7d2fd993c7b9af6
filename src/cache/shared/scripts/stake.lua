local flights = {}
for i, key in ipairs(a.flights) do
  flights[i] = flight(key)
  -- a lease that has run out does not matter while nobody else has taken the seat
  if flights[i].o ~= a.owner or flights[i].s ~= 'b' then return {'seat_lost'} end
end
-- as many places as the limit are kept: the oldest of them must be a window ago
local pace = a.pace
if pace then
  local oldest = pace.limit > 0 and redis.call('LINDEX', pace.key, -pace.limit)
  local wait = pace.limit == 0 and pace.window_ms or 0
  if oldest then wait = tonumber(oldest) + pace.window_ms - now end
  -- a clock that was set back is nothing to wait for
  if wait > 0 and wait <= pace.window_ms then return {'busy', wait} end
end
local cards = cards_load(a.cards, a.limits.mismatches)
for _, r in ipairs(cards) do
  local closed = card_closed(r, a.caller, a.limits)
  if closed then
    if #cards > 1 then
      for _, known in ipairs(cards) do card_keep(known) end
    end
    return closed
  end
end
for i, price in ipairs(a.prices) do
  if budget_taken(price.key) + price.micros > price.limit_micros then return {'spent', i - 1} end
end

if pace then
  redis.call('RPUSH', pace.key, now)
  redis.call('LTRIM', pace.key, -pace.limit, -1)
  redis.call('PEXPIRE', pace.key, pace.window_ms)
end
for _, r in ipairs(cards) do
  r.slots[a.slot] = {ends = now + a.slot_ms, q = r.q, caller = a.caller}
  card_keep(r)
end
local spent = {}
for i, price in ipairs(a.prices) do
  spent[i] = budget_taken(price.key) + price.micros
  budget_set(price.key, spent[i])
end
for i, f in ipairs(flights) do
  f.s, f.u, f.h, f.p = 's', now + a.call_ms, a.hold_ms, ARGV[a.held[i]]
  keep(f)
end
ids_sent(a.ids, a.call_ms)
return {'taken', today, spent}
