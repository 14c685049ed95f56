-- KEYS record; ARGV connection id, what its row begins with in the generation meant. Answers nil when no
-- such row stands there; else removes it and answers what is left, at most 64 rows, as pairs.
local row = redis.call('HGET', KEYS[1], ARGV[1])
if not row or string.sub(row, 1, #ARGV[2]) ~= ARGV[2] then return false end
redis.call('HDEL', KEYS[1], ARGV[1])
local rows = redis.call('HLEN', KEYS[1])
if rows == 0 then return {} end
if rows > 64 then return redis.call('HRANDFIELD', KEYS[1], 64, 'WITHVALUES') end
return redis.call('HGETALL', KEYS[1])
