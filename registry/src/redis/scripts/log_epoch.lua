-- KEYS topic; ARGV deadline ms of this clock, the epoch that can't go on, life. Begins another, unless somebody
-- has. Answers the meta (empty: there is no log), or nothing: past the deadline.
local time = redis.call('TIME')
if clock_ms(time) > tonumber(ARGV[1]) then return false end
local meta = redis.call('GET', KEYS[1] .. ':meta')
if not meta then return '' end
local epoch, rest = string.match(meta, '^([^|]*)(.*)$')
if epoch == ARGV[2] then
  meta = next_epoch(ARGV[3], time) .. rest
  redis.call('SET', KEYS[1] .. ':meta', meta, 'KEEPTTL')
end
return meta
