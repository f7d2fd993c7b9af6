local flights = {}
for i, key in ipairs(a.flights) do
  flights[i] = flight(key)
  if flights[i].o ~= a.owner or flights[i].s ~= 'b' then return {'lost'} end
end
for _, f in ipairs(flights) do
  f.u = now + a.lease_ms
  keep(f)
end
return {'ours'}
