for i, place in ipairs(a.answers) do
  local value = redis.call('HGET', place.key, place.field)
  if value and ends_at(value) > now then return {'answer', i - 1, value} end
end
local flights = {}
for i, key in ipairs(a.flights) do flights[i] = flight(key) end
if a.holds then
  for i, f in ipairs(flights) do
    if f.held_until then return {'held', i - 1, f.held} end
  end
end
for i, f in ipairs(flights) do
  if a.following and f.s == 'e' and f.u > now and f.o == a.following then
    return {'ended', i - 1, f.p}
  end
end
for _, f in ipairs(flights) do
  if (f.s == 'b' or f.s == 's') and f.u > now and f.o ~= a.owner then
    return {'under_way', f.o}
  end
end
for _, f in ipairs(flights) do
  f.o, f.s, f.u, f.h, f.p = a.owner, 'b', now + a.lease_ms, 0, nil
  keep(f)
end
return {'seat'}
