-- ARGV 6 passenger, 7 fence of the boarding, 8 the vehicle that asks or nothing, 9 how many ms one who has
-- alighted is kept. Answers 'done' and the vehicle, 'no_passenger', or 'denied' as the script that boards.
local p = read(ARGV[6])
if not p then return { 'no_passenger' } end
local proven = p.fence ~= '' and p.fence == ARGV[7] and (ARGV[8] == '' or ARGV[8] == p.vehicle)
if p.state == 'a' and proven then return { 'done', p.vehicle } end
if p.state ~= 'b' then return { 'denied', 'state', p.state, p.vehicle } end
if not proven then return { 'denied', 'stale_fence', p.state, p.vehicle } end
redis.call('ZREM', fleet .. 'v:' .. p.vehicle .. ':on', p.id)
keep(p, ARGV[9])
p.state, p.alighted = 'a', ARGV[5]
write(p)
tell(0, p)
return { 'done', p.vehicle }
