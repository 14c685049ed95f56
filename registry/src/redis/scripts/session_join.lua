-- KEYS rows, owner; ARGV subject, connection id, row, seconds to live of the rows, of the owner.
-- Answers nil when the session is another subject's; else all its rows, as pairs.
local owner = redis.call('GET', KEYS[2])
if owner and owner ~= ARGV[1] then return false end
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[5])
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return redis.call('HGETALL', KEYS[1])
