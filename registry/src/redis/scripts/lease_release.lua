-- KEYS nodes; ARGV member. Ends a lease now; it stays listed until a sweep has removed its rows.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if ends and tonumber(ends) > now then redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1]) end
return 1
