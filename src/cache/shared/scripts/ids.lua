-- Request ids of callers. A record: c contents, s state (r running, s sent, m remembered, u
-- unknown, z forgotten), u until when its run counts as under way, o who runs it, e its end, p
-- what is told when its outcome is unknown. Two sorted lists of each caller, the first to end
-- first: ids that stand for something, and those that were forgotten and may make room.
local function ids_sent(ids, lasts)
  for _, id in ipairs(ids) do
    local v = redis.call('HMGET', id.key, 's', 'o')
    if v[1] == 'r' and v[2] == id.owner then
      redis.call('HSET', id.key, 's', 's', 'u', now + lasts)
    end
  end
end

local function same_content(known, mine)
  for _, content in ipairs(mine) do
    if string.find(known, content, 1, true) then return true end
  end
  return false
end

local function end_ids(ids)
  for _, id in ipairs(ids) do
    local v = redis.call('HMGET', id.key, 's', 'o', 'e')
    local known = v[1]
    -- whoever ran it last says how it ended; an id that the store has never heard of is new to it
    if not known or v[2] == id.owner then
      local ends = tonumber(v[3] or now + id.window)
      local lasts = math.max(ends - now, 1)
      local state = 'z'
      if id.values then state = id.is_answer and 'm' or 'u' end
      redis.call('HSET', id.key, 's', state, 'u', 0, 'o', id.owner, 'e', ends, 'c', id.content)
      redis.call('PEXPIRE', id.key, lasts)
      if state == 'm' then
        for i, key in ipairs(id.cards) do put(key, id.field, ARGV[id.values[i]], lasts) end
      elseif state == 'u' then
        redis.call('HSET', id.key, 'p', ARGV[id.values[1]])
      end
      redis.call('ZREM', state == 'z' and id.living or id.forgotten, id.key)
      local list = state == 'z' and id.forgotten or id.living
      redis.call('ZADD', list, ends, id.key)
      if redis.call('PTTL', list) < lasts then redis.call('PEXPIRE', list, lasts) end
    end
  end
end
