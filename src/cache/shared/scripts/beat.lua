-- Shows that the store is there and takes what it is given, which epoch it is in, and what was
-- said to all replicas since. The beats are counted: fewer than before means that the store has
-- come back with older data.
local beats = redis.call('INCR', a.beats_key)
local epoch = redis.call('GET', a.epoch_key)
if a.renew_from and (epoch or '') == a.renew_from then
  epoch = a.renew_to .. ':' .. string.format('%.0f', a.settling_ms > 0 and now + a.settling_ms or 0)
  redis.call('SET', a.epoch_key, epoch)
end
local last = tonumber(redis.call('GET', a.number_key) or 0)
local words = {}
local complete = 1
if a.heard and a.heard < last then
  words = redis.call('ZRANGEBYSCORE', a.notices_key, a.heard + 1, last)
  if #words < last - a.heard then complete = 0 end
end
return {'beat', beats, epoch or '', string.format('%.0f', now), last, complete, words}
