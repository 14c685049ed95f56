-- KEYS what the fleet's names begin with; ARGV the worker's token, how many ms nobody else works, the number behind
-- which to read, how many to read. Answers nothing if somebody else works; else of each push that is over
-- the passenger and when it was spawned, and of each line the passenger and the number.
local worker, outbox = KEYS[1] .. ':outbox:worker', KEYS[1] .. ':outbox'
local holder = redis.call('GET', worker)
if holder and holder ~= ARGV[1] then return {} end
redis.call('SET', worker, ARGV[1], 'PX', ARGV[2])
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local pushes = {}
for _, id in ipairs(redis.call('ZRANGE', outbox .. ':pushes', '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[4])) do
  pushes[#pushes + 1] = id
  pushes[#pushes + 1] = redis.call('HGET', outbox .. ':spawned', id) or '0'
end
local lines = redis.call('ZRANGE', outbox, '(' .. ARGV[3], '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[4], 'WITHSCORES')
return { pushes, lines }
