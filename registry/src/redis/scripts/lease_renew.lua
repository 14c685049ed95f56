-- KEYS nodes; ARGV member, lease ms, deadline ms of this clock. Answers 'held', 'lost' or 'late'.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not ends or tonumber(ends) <= now then return 'lost' end
if now > tonumber(ARGV[3]) then return 'late' end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
redis.call('EXPIRE', KEYS[1], 86400)
return 'held'
