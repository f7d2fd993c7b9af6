-- A word to all replicas: numbered, and kept for a day for those that are not connected now.
local found = 0
if a.kind == 'erase' then
  for _, pair in ipairs(a.keys) do
    local here = 0
    for _, key in ipairs(pair) do
      here = here + redis.call('HLEN', key)
      redis.call('DEL', key)
    end
    found = math.max(found, here)
  end
else
  for i, key in ipairs(a.cards) do
    local r = card_load(key, a.counts_mismatches[i])
    if r.c > 0 or r.m > 0 or r.xe > 0 or next(r.slots) then found = 1 end
    card_calls_end(r)
    card_mismatches_end(r)
    r.xe = 0
    card_keep(r)
  end
end
local number = redis.call('INCR', a.number_key)
redis.call('ZADD', a.notices_key, number, number .. ' ' .. a.word)
redis.call('ZREMRANGEBYRANK', a.notices_key, 0, -1001)
redis.call('PEXPIRE', a.notices_key, 86400000)
return {'done', found}
