redis.call('ZREMRANGEBYSCORE', a.living, '-inf', now)
redis.call('ZREMRANGEBYSCORE', a.forgotten, '-inf', now)
local v = redis.call('HMGET', a.key, 'c', 's', 'u', 'o', 'p')
local content, state, under_way = v[1], v[2], tonumber(v[3] or 0) > now
if state then
  if not same_content(content, a.contents) then return {'reused'} end
  if (state == 'r' or state == 's') and under_way and v[4] ~= a.owner then return {'running'} end
  if state == 's' and v[4] ~= a.owner then return {'unknown'} end
  if state == 'u' then return {'earlier', -1, v[5]} end
  if state == 'm' then
    for i, key in ipairs(a.cards) do
      local value = redis.call('HGET', key, a.field)
      if value and ends_at(value) > now then return {'earlier', i - 1, value} end
    end
  end
end
if not redis.call('ZSCORE', a.living, a.key) then
  local others = redis.call('ZCARD', a.forgotten)
  if redis.call('ZSCORE', a.forgotten, a.key) then others = others - 1 end
  if redis.call('ZCARD', a.living) + others >= a.most then
    if others == 0 then
      local first = redis.call('ZRANGE', a.living, 0, 0, 'WITHSCORES')
      return {'exhausted', first[2] and tonumber(first[2]) - now or a.window_ms}
    end
    redis.call('ZREM', a.forgotten, a.key)
    redis.call('DEL', redis.call('ZPOPMIN', a.forgotten)[1])
  end
end
redis.call('DEL', a.key)
redis.call('HSET', a.key, 'c', a.content, 's', 'r', 'u', now + a.lease_ms, 'o', a.owner,
  'e', now + a.window_ms)
redis.call('PEXPIRE', a.key, a.window_ms)
redis.call('ZREM', a.forgotten, a.key)
redis.call('ZADD', a.living, now + a.window_ms, a.key)
redis.call('PEXPIRE', a.living, a.window_ms)
return {'new'}
