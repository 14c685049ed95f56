-- ARGV 6 passenger, 7 vehicle, 8 the fence that the asker shows or nothing, 9 who asks and the request's id or
-- nothing. Answers 'boarded', fence, seats left; 'no_passenger'; 'no_vehicle'; or 'denied', why, the
-- passenger's state, and the vehicle that has or had the passenger or nothing.
local p, vehicle, shown, request = read(ARGV[6]), ARGV[7], ARGV[8], ARGV[9]
if not p then return { 'no_passenger' } end
if request ~= '' and request == p.request and vehicle == p.vehicle then
  return { 'boarded', p.fence, p.seats }
end
local before = tonumber(p.shown) or 0
local stale = shown ~= '' and tonumber(shown) < before
-- Also when it is denied: whoever showed the fence had the lock, and nobody who had it before counts.
if p.state == 'w' and shown ~= '' and tonumber(shown) > before then
  p.shown = shown
  write(p)
end
local seats = redis.call('GET', fleet .. 'v:' .. vehicle)
if not seats then return { 'no_vehicle' } end
if p.state == 'b' then return { 'denied', 'boarded', p.state, p.vehicle } end
if p.state ~= 'w' then return { 'denied', 'state', p.state, p.vehicle } end
if p.expires ~= '' and tonumber(p.expires) <= now then return { 'denied', 'state', 'e', '' } end
if stale then return { 'denied', 'stale_fence', p.state, '' } end
local on_board = fleet .. 'v:' .. vehicle .. ':on'
local left = tonumber(string.match(seats, '^%d+')) - redis.call('ZCARD', on_board) - 1
if left < 0 then return { 'denied', 'full', p.state, '' } end

-- Fences grow over the whole fleet, whatever the clock does.
local last = tonumber(redis.call('GET', fleet .. 'fence') or 0)
local fence = ms(math.max(last + 1, time[1] * 1000000 + time[2]))
redis.call('SET', fleet .. 'fence', fence)
redis.call('ZADD', on_board, fence, p.id)
wait_over(p)
redis.call('ZREM', fleet .. 'due', p.id)
p.state, p.vehicle, p.boarded, p.seats, p.request = 'b', vehicle, ARGV[5], ms(left), request
p.fence = ms(math.max(tonumber(fence), (tonumber(p.shown) or 0) + 1))
write(p)
tell(0, p)
return { 'boarded', p.fence, p.seats }
