-- KEYS a tenant's revocations; ARGV deadline ms of this clock, whom, at and until in seconds, most of a tenant.
-- Answers 1; 0: there are so many, none of them over; -1: past the deadline.
local time = redis.call('TIME')
if time[1] * 1000 + math.floor(time[2] / 1000) > tonumber(ARGV[1]) then return -1 end
local at, ends, most = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local known = redis.call('HGET', KEYS[1], ARGV[2])
if not known and redis.call('HLEN', KEYS[1]) >= most then
  local all = redis.call('HGETALL', KEYS[1])
  for place = 1, #all, 2 do
    local over = tonumber(string.match(all[place + 1], ' (%d+)$') or '0')
    if over <= at then redis.call('HDEL', KEYS[1], all[place]) end
  end
  if redis.call('HLEN', KEYS[1]) >= most then return 0 end
end
if known then
  local known_at, known_ends = string.match(known, '^(%d+) (%d+)$')
  at = math.max(at, tonumber(known_at or '0'))
  ends = math.max(ends, tonumber(known_ends or '0'))
end
redis.call('HSET', KEYS[1], ARGV[2], string.format('%.0f %.0f', at, ends))
-- Until the last of them is over, and some time more for clocks that differ.
local left = ends - tonumber(ARGV[3]) + 3600
if redis.call('TTL', KEYS[1]) < left then redis.call('EXPIRE', KEYS[1], string.format('%.0f', left)) end
return 1
