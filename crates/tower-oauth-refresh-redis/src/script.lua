-- KEYS[1]: the record, a hash. Nothing else is touched, so a cluster finds it all in one slot.
-- To load: no arguments. To swap: ARGV = expected version, new version, channel, digest of the key, new body; a
-- version of no letters stands for no record.

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

local found = {'', false, false}
local kind = redis.call('TYPE', KEYS[1]).ok
local damaged = false
if kind ~= 'none' then
  if kind == 'hash' then
    found = redis.call('HMGET', KEYS[1], 'version', 'written', 'body')
  end
  local version = found[1]
  damaged = kind ~= 'hash' or not version or #version ~= 32 or string.find(version, '[^0-9a-f]')
  if damaged then
    -- It has no version, and is known by all of its bytes.
    found = {string.sub(redis.sha1hex(redis.call('DUMP', KEYS[1])), 1, 32), false, false}
  end
end

if ARGV[1] and ARGV[2] ~= '' and found[1] == ARGV[2] then
  -- Carried out before, by a client that sent it twice. Written again, and not changed, so that a WAIT that
  -- follows waits for it.
  redis.call('HSET', KEYS[1], 'version', ARGV[2])
  return 1
end
if not ARGV[1] or found[1] ~= ARGV[1] then
  -- A write that changes nothing, for records do not expire: a server that refuses writes, a replica or a
  -- primary cut off from its replicas, may be behind, and an old record must not be taken for the newest.
  redis.call('PERSIST', KEYS[1])
  return {found[1], found[2], found[3], now}
end
if ARGV[2] == '' or damaged then
  redis.call('DEL', KEYS[1])
end
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], 'version', ARGV[2], 'written', now, 'body', ARGV[5])
end
-- Whoever may not publish has still written.
redis.pcall('PUBLISH', ARGV[3], ARGV[4])
return 1
