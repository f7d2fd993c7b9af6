-- What is counted about one card: the rules of `service/guard/card.rs`, to the letter, and one
-- more: a slot in flight has an end, and after that stands for a call and a mismatch that were
-- counted at that end. c, m: calls, mismatches; ce, me, xe: when they end and until when a
-- vendor's word closes the card; q goes on with every mismatch. `c:NAME` and `m:NAME` are one
-- caller's part; `s:TOKEN` is a slot: when it ends, the card's q when it was taken (nothing where
-- that is not known), and whose it is.
local function midnight(at)
  return (math.floor((at + 28800) / 86400) + 1) * 86400 - 28800
end

local function lock_end(at_ms)
  return math.max(midnight(math.floor(at_ms / 1000)), math.ceil(at_ms / 1000) + 43200)
end

local function card_mismatches_end(r)
  r.m, r.me = 0, 0
  for _, part in pairs(r.callers) do part.m = 0 end
end

local function card_calls_end(r)
  r.c, r.ce = 0, 0
  for _, part in pairs(r.callers) do part.c = 0 end
end

local function card_part(r, caller)
  if not r.callers[caller] then r.callers[caller] = {c = 0, m = 0} end
  return r.callers[caller]
end

local function card_mismatch(r, caller, ends)
  local part = card_part(r, caller)
  r.m, part.m, r.me, r.q = r.m + 1, part.m + 1, ends, r.q + 1
end

local function card_load(key, counts_mismatches)
  local r = {key = key, c = 0, m = 0, ce = 0, me = 0, xe = 0, q = 0, callers = {}, slots = {}}
  local flat = redis.call('HGETALL', key)
  local over = {}
  for i = 1, #flat, 2 do
    local field, value = flat[i], flat[i + 1]
    local kind, name = string.match(field, '^(%a):(.*)$')
    if not kind then
      r[field] = tonumber(value)
    elseif kind == 's' then
      local ends, q, caller = string.match(value, '^(%d+)|(%d*)|(.*)$')
      r.slots[name] = {ends = tonumber(ends), q = tonumber(q), caller = caller}
      if tonumber(ends) <= now then over[#over + 1] = name end
    else
      card_part(r, name)[kind] = tonumber(value)
    end
  end
  r.ce = math.min(r.ce, midnight(second))
  r.me = math.min(r.me, lock_end(unix_ms))
  r.xe = math.min(r.xe, lock_end(unix_ms))
  if r.ce <= second then card_calls_end(r) end
  if r.me <= second then card_mismatches_end(r) end
  if r.xe <= second then r.xe = 0 end
  for _, name in ipairs(over) do
    local slot = r.slots[name]
    r.slots[name] = nil
    local ended_ms = slot.ends + 1577836800000
    if midnight(math.floor(ended_ms / 1000)) > second then
      r.c, r.ce = r.c + 1, midnight(second)
      card_part(r, slot.caller).c = card_part(r, slot.caller).c + 1
    end
    if counts_mismatches and lock_end(ended_ms) > second then
      card_mismatch(r, slot.caller, math.max(r.me, lock_end(ended_ms)))
    end
  end
  return r
end

-- While keys are exchanged a card has a record under each tag, and replicas that know one key only
-- count in one of them. Whoever reads both brings them together, so that the count under the key
-- that stays lacks nothing. Slots stay where they are: who has them gives them back there.
local function cards_load(keys, counts_mismatches)
  local cards = {}
  for i, key in ipairs(keys) do cards[i] = card_load(key, counts_mismatches) end
  for _, r in ipairs(cards) do
    for _, other in ipairs(cards) do
      -- a mismatch that was counted there is one that came in between here as well
      if other.m > r.m then r.q = r.q + 1 end
      for _, count in ipairs({'c', 'm', 'ce', 'me', 'xe'}) do
        r[count] = math.max(r[count], other[count])
      end
      for name, theirs in pairs(other.callers) do
        local part = card_part(r, name)
        part.c, part.m = math.max(part.c, theirs.c), math.max(part.m, theirs.m)
      end
    end
  end
  return cards
end

local function card_keep(r)
  redis.call('DEL', r.key)
  local fields = {}
  local function field(name, value)
    if value ~= 0 then
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
  end
  field('c', r.c) field('m', r.m) field('ce', r.ce) field('me', r.me) field('xe', r.xe)
  field('q', r.q)
  for name, part in pairs(r.callers) do
    field('c:' .. name, part.c)
    field('m:' .. name, part.m)
  end
  local last_ms = math.max(r.ce, r.me, r.xe) * 1000 - unix_ms
  for name, slot in pairs(r.slots) do
    field('s:' .. name, slot.ends .. '|' .. (slot.q or '') .. '|' .. slot.caller)
    -- after its end a slot counts for as long as a mismatch does
    last_ms = math.max(last_ms, slot.ends - now + 86400000)
  end
  if #fields > 0 then
    redis.call('HSET', r.key, unpack(fields))
    redis.call('PEXPIRE', r.key, math.max(last_ms, 0) + 1000)
  end
end

local function card_in_flight(r, caller)
  local all, own = 0, 0
  for _, slot in pairs(r.slots) do
    all = all + 1
    if slot.caller == caller then own = own + 1 end
  end
  return all, own
end

-- Why there is no slot: the first cause and when the last one ends, or nil.
local function card_closed(r, caller, limits)
  local part = r.callers[caller] or {c = 0, m = 0}
  local cause, opens = nil, 0
  local function closes(name, does, ends)
    if does then
      cause = cause or name
      opens = math.max(opens, ends)
    end
  end
  closes('vendor', r.xe > 0, r.xe)
  closes('calls', r.c >= limits.calls, r.ce)
  closes('mismatches', limits.mismatches and r.m >= limits.mismatches, r.me)
  closes('caller_calls', part.c >= limits.caller_calls, r.ce)
  closes('caller_mismatches', limits.caller_mismatches and part.m >= limits.caller_mismatches, r.me)
  if cause then return {'closed', cause, opens * 1000 - unix_ms} end
  local all, own = card_in_flight(r, caller)
  if r.c + all >= limits.calls or part.c + own >= limits.caller_calls
    or (limits.mismatches and r.m + all >= limits.mismatches)
    or (limits.caller_mismatches and part.m + own >= limits.caller_mismatches) then
    return {'closed', 'in_flight', -1}
  end
  return nil
end

-- `q`: the card's when the slot was taken. A match says nothing of a mismatch that was counted
-- while it was out: the bank may have seen that one last.
local function card_count(r, caller, q, effect)
  local part = card_part(r, caller)
  if effect ~= 'nothing' then
    r.c, part.c, r.ce = r.c + 1, part.c + 1, midnight(second)
  end
  if effect == 'mismatch' then
    card_mismatch(r, caller, lock_end(unix_ms))
  elseif effect == 'match' and q == r.q then
    card_mismatches_end(r)
  elseif effect == 'close' then
    r.xe = lock_end(unix_ms)
  end
end
