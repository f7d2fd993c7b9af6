settle(a.settle)
for _, key in ipairs(a.flights) do
  local f = flight(key)
  if f.o == a.owner and f.s == 's' then
    -- it surely did not run, so a hold that began by itself is none
    if f.held == f.p then f.held_until = nil end
    f.s, f.u, f.h, f.p = 'b', now + a.lease_ms, 0, nil
    keep(f)
  end
end
return {'done'}
