-- KEYS topic; ARGV deadline ms of this clock, life, most messages, most bytes, age ms, source|id, message, then for
-- a group topic what it begins with on the bus. Answers the epoch, the offset, 1 if the message was known,
-- and for a point topic its record; or nothing: past the deadline.
local time = redis.call('TIME')
if clock_ms(time) > tonumber(ARGV[1]) then return false end
local epoch, offset, known = append(KEYS[1], ARGV[7], ARGV[6], time, ARGV[2],
  tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]))
local record = {}
if not ARGV[8] then
  record = redis.call('HGETALL', KEYS[1] .. ':conns')
elseif not known then
  tell_logged(KEYS[1], ARGV[8], epoch, offset, ARGV[7])
end
return { epoch, offset, known and 1 or 0, record }
