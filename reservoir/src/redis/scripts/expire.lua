-- ARGV 6 how many ms one who waited for too long is kept, 7 at most how many to look at. Answers 'done', or
-- 'more' if more are due now; how many were ended; and when the next is due, in ms, or nothing.
local due, ended = fleet .. 'due', 0
for number, id in ipairs(redis.call('ZRANGE', due, '-inf', ms(now), 'BYSCORE', 'LIMIT', 0, ARGV[7])) do
  local p = read(id)
  if p.state == 'w' then
    wait_over(p)
    keep(p, ARGV[6])
    p.state = 'e'
    write(p)
    tell(number, p)
    ended = ended + 1
  elseif noted and redis.call('ZSCORE', fleet .. 'outbox', id) then
    -- The store has not got the end yet, and would have the passenger wait for ever.
    keep(p, math.max(ARGV[6], 1000))
  else
    redis.call('ZREM', due, id)
    redis.call('ZREM', fleet .. 'all', id)
    redis.call('ZREM', fleet .. 'pool:' .. p.pool .. ':all', id)
    redis.call('DEL', fleet .. 'p:' .. id)
  end
end
local next = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
local more = next[2] and tonumber(next[2]) <= now
return { more and 'more' or 'done', ms(ended), next[2] or '' }
