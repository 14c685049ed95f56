-- Answers the history and the clock of this Redis. A key tells in a Cluster which is asked.
return { history(), clock_ms(redis.call('TIME')) }
