-- KEYS accepted, viewers, lock, fence; ARGV deadline ms of this clock, who, '1' looks, '0' no longer, empty for
-- a question, most names. Answers how many look, 1 if that changed, and who; or nothing: past the deadline.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return false end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now))
local changed = 0
if ARGV[3] == '1' then
  changed = redis.call('ZADD', KEYS[2], string.format('%.0f', now + 300000), ARGV[2])
  redis.call('PEXPIRE', KEYS[2], 300000)
elseif ARGV[3] == '0' then
  changed = redis.call('ZREM', KEYS[2], ARGV[2])
end
return {redis.call('ZCARD', KEYS[2]), changed, redis.call('ZRANGE', KEYS[2], 0, ARGV[4] - 1)}
