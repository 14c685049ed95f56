-- KEYS record; ARGV connection id, row, seconds to live. Answers the rows that stood there before, at most
-- 64 of them, as pairs. Each call costs, so that the usual case, a new record, makes three.
local before, rows = {}, redis.call('HLEN', KEYS[1])
if rows > 64 then
  before = redis.call('HRANDFIELD', KEYS[1], 64, 'WITHVALUES')
elseif rows > 0 then
  before = redis.call('HGETALL', KEYS[1])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return before
