-- KEYS the tenants that have revocations; ARGV a tenant whose revocations changed, for how many seconds they are kept.
-- Its number grows with each change, and those of tenants whose revocations must be over are removed.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local before = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
redis.call('ZADD', KEYS[1], string.format('%.0f', math.max(now, before + 1)), ARGV[1])
local over = now - (tonumber(ARGV[2]) + 3600) * 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', over))
return 1
