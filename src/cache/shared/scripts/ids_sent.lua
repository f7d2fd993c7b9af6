ids_sent(a.ids, a.lease_ms)
return {'done'}
