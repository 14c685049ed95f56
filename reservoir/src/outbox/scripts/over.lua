-- KEYS what the fleet's names begin with; ARGV in how many ms a push is over, passengers. Answers 1.
local time = redis.call('TIME')
local over = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1])
for at = 2, #ARGV do redis.call('ZADD', KEYS[1] .. ':outbox:pushes', 'XX', over, ARGV[at]) end
return 1
