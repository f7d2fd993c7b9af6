if a.settle then settle(a.settle) end
for i, key in ipairs(a.flights) do
  local f = flight(key)
  local ours = a.was_seated and f.o == a.owner
  if ours then
    if f.s == 's' and f.held == f.p then f.held_until = nil end
    f.s, f.u, f.h, f.p = nil, 0, 0, nil
    if a.ending then
      f.s, f.u, f.p = 'e', now + ENDED_LASTS, ARGV[a.ending[i]]
    end
  end
  if a.hold and now + a.hold.lasts_ms > (f.held_until or 0) then
    f.held_until, f.held = now + a.hold.lasts_ms, ARGV[a.hold.values[i]]
  elseif a.answer then
    f.held_until = nil
  end
  keep(f)
end
if a.answer then
  for i, place in ipairs(a.answers) do
    put(place.key, place.field, ARGV[a.answer.values[i]], a.answer.lasts_ms)
  end
end
end_ids(a.ids)
return {'done'}
