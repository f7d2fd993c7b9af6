-- A budget is what of it is taken today: a price is taken before the call is sent and given back
-- if nothing was charged, so a replica that dies has spent it. When the clock is set back to an
-- earlier day, that day goes on with what is taken.
local function budget_taken(key)
  local v = redis.call('HMGET', key, 'day', 'taken')
  local day, taken = tonumber(v[1] or 0), tonumber(v[2] or 0)
  if day < today then taken = 0 end
  return taken
end

local function budget_set(key, taken)
  redis.call('HSET', key, 'day', today, 'taken', string.format('%.0f', taken))
  redis.call('PEXPIRE', key, 172800000)
end

-- Ends an attempt. A slot that is gone has been counted when it ended.
local function settle(s)
  local had = false
  for _, key in ipairs(s.cards) do
    local r = card_load(key, s.counts_mismatches)
    local slot = r.slots[s.slot]
    local ours = slot ~= nil
    r.slots[s.slot] = nil
    if ours or not s.was_staked then card_count(r, s.caller, slot and slot.q, s.effect) end
    card_keep(r)
    had = had or ours
  end
  for _, price in ipairs(s.refunds) do
    if had and (s.day == today or s.day < 0) then
      budget_set(price.key, math.max(0, budget_taken(price.key) - price.micros))
    end
  end
  for _, price in ipairs(s.spent) do
    if not had then budget_set(price.key, budget_taken(price.key) + price.micros) end
  end
end
