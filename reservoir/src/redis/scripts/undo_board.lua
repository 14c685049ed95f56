-- ARGV 6 passenger, 7 fence of the boarding. Answers 'done' and 1, or 0 if that boarding does not stand.
local p = read(ARGV[6])
if not p or p.state ~= 'b' or p.fence ~= ARGV[7] then return { 'done', '0' } end
redis.call('ZREM', fleet .. 'v:' .. p.vehicle .. ':on', p.id)
local position = cjson.decode('{' .. p.fixed .. '}').position
redis.call('GEOADD', fleet .. 'pool:' .. p.pool .. ':geo', position.lon, position.lat, p.id)
if p.expires ~= '' then redis.call('ZADD', fleet .. 'due', p.expires, p.id) end
-- The fence has been told: whoever shows a smaller one comes from before.
p.shown = ms(math.max(tonumber(p.fence), tonumber(p.shown) or 0))
p.state, p.vehicle, p.fence, p.boarded, p.seats, p.request = 'w', '', '', '', '', ''
write(p)
tell(0, p)
return { 'done', '1' }
