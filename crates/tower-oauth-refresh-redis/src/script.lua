-- KEYS[1]: the record, a hash. Nothing else is touched, so a cluster finds it all in one slot.
-- To load: no arguments. To swap: ARGV = expected version, new version, channel, new body; a version of
-- no letters stands for no record.

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

-- Something that is no record of ours has no version and equals no expectation.
local found = {false, false, false}
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'hash' then
  found = redis.call('HMGET', KEYS[1], 'version', 'written', 'body')
elseif kind == 'none' then
  found[1] = ''
end

if not ARGV[1] or found[1] ~= ARGV[1] then
  -- A write that changes nothing, for records do not expire: a server that refuses writes, a replica or a
  -- primary cut off from its replicas, may be behind, and an old record must not be taken for the newest.
  redis.call('PERSIST', KEYS[1])
  return {found[1], found[2], found[3], now}
end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[1], 'version', ARGV[2], 'written', now, 'body', ARGV[4])
end
-- Whoever may not publish has still written.
redis.pcall('PUBLISH', ARGV[3], KEYS[1])
return 1
