-- ARGV 6 how many ms one who gave up is kept, 7 pool, 8 at most how many. Answers 'done' and how many were
-- cancelled.
local waiting = redis.call('ZRANGE', fleet .. 'pool:' .. ARGV[7] .. ':geo', '-inf', '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[8])
for number, id in ipairs(waiting) do
  local p = read(id)
  wait_over(p)
  keep(p, ARGV[6])
  p.state = 'c'
  write(p)
  tell(number, p)
end
return { 'done', ms(#waiting) }
