-- KEYS accepted, viewers, lock, fence. The event is told to all: a retry need not tell it again.
return redis.call('HDEL', KEYS[1], 'event')
