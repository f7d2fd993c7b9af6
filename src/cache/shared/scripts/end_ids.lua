end_ids(a.ids)
return {'done'}
