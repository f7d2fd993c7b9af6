-- What every script begins with. ARGV[1] is its arguments as JSON; sealed values follow, and the
-- arguments name them by position. Times are milliseconds since 2020, by this server's clock moved
-- by `offset_ms`: replicas whose own clocks are wrong agree, and no number of 13 digits, which
-- could be a card's, stands anywhere. Times of a card are whole seconds since 1970.
local a = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local unix_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + a.offset_ms
local now = unix_ms - 1577836800000
local second = math.floor(unix_ms / 1000)
local today = math.floor((second + 28800) / 86400)

-- A store that was emptied, or that a replica has just found emptied, counts nothing.
if a.epoch and redis.call('GET', a.epoch_key) ~= a.epoch then
  return {'epoch'}
end

-- a value with its end in front
local function ends_at(value)
  return struct.unpack('>I8', value)
end

-- Keeps a value in a hash, and clears some of those away whose end has come.
local function put(key, field, value, lasts)
  redis.call('HSET', key, field, struct.pack('>I8', now + lasts) .. value)
  if redis.call('PTTL', key) < lasts then
    redis.call('PEXPIRE', key, lasts)
  end
  if redis.call('HLEN', key) > 32 then
    local some = redis.call('HRANDFIELD', key, 8, 'WITHVALUES')
    for i = 1, #some, 2 do
      if ends_at(some[i + 1]) <= now then
        redis.call('HDEL', key, some[i])
      end
    end
  end
end
