-- KEYS rows, owner; ARGV connection id, row, seconds to live of the rows, of the owner, subject or ''.
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
if ARGV[5] ~= '' then redis.call('SET', KEYS[2], ARGV[5], 'NX') end
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 1
