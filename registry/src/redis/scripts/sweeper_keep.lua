-- KEYS lock; ARGV token, ms. Answers 1 when the lock is still the token's and now lasts so long.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
