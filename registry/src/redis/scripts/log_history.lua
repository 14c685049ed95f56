-- KEYS topic. Answers the history and the clock of the Redis that has it.
return { history(), clock_ms(redis.call('TIME')) }
