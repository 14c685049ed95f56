-- ARGV 6 how many ms one who gave up is kept, 7 passenger. Answers 'done', 'no_passenger', or 'state' and it.
local p = read(ARGV[7])
if not p then return { 'no_passenger' } end
if p.state == 'c' then return { 'done' } end
if p.state ~= 'w' then return { 'state', p.state } end
wait_over(p)
keep(p, ARGV[6])
p.state = 'c'
write(p)
tell(0, p)
return { 'done' }
