-- The one seat of a question. State: b boarded, s sent, e ended. `u` is until when that lasts, `p`
-- what is told: while sent, for the case that nobody lands it; after the end, to those who follow.
-- `h` is how long the question is held when nobody lands it; `hu` and `hp` are a hold.
local ENDED_LASTS = 5000

local function flight(key)
  local v = redis.call('HMGET', key, 'o', 's', 'u', 'p', 'h', 'hu', 'hp')
  local f = {
    key = key, o = v[1], s = v[2], u = tonumber(v[3] or 0), p = v[4],
    h = tonumber(v[5] or 0), hu = tonumber(v[6] or 0), hp = v[7],
  }
  -- sent, and nobody landed it: its outcome is unknown
  if f.s == 's' and f.u <= now and f.u + f.h > math.max(now, f.hu) then
    f.held_until, f.held = f.u + f.h, f.p
  elseif f.hu > now then
    f.held_until, f.held = f.hu, f.hp
  end
  return f
end

-- Writes it back. A hold that began by itself becomes one that stays.
local function keep(f)
  redis.call('DEL', f.key)
  local fields = {}
  local last = 0
  if f.s and f.o then
    last = f.u
    if f.s == 's' then last = f.u + f.h end
    fields = {'o', f.o, 's', f.s, 'u', f.u, 'h', f.h}
    if f.p then
      fields[#fields + 1] = 'p'
      fields[#fields + 1] = f.p
    end
  end
  if f.held_until and f.held_until > now and f.held then
    last = math.max(last, f.held_until)
    for _, x in ipairs({'hu', f.held_until, 'hp', f.held}) do fields[#fields + 1] = x end
  end
  if #fields > 0 and last > now then
    redis.call('HSET', f.key, unpack(fields))
    redis.call('PEXPIRE', f.key, last - now + 1000)
  end
end
