-- Write the balances of some members of one shard, each only over an older version, and move the shard's cursor on.
-- KEYS: the shard's cursor, then a key for each member.
-- ARGV: the position after which the news begin and the one where they end, then version, next due instant and balances for each member.
--       A reader that refills what it missed has no news: it says the position up to which it has read, and -1. Where
--       this Redis knew nothing of the shard, that is from where the publisher has to go on.
-- Returns the cursor. One below the first argument says that this Redis has forgotten something: nothing was written.
-- Nor is anything written of what ends before the cursor: a member that is missing here may have changed since, and
-- nobody would bring it up to date.
local after, last = tonumber(ARGV[1]), tonumber(ARGV[2])
local known = redis.call('GET', KEYS[1])
local cursor = tonumber(known or after)
if last >= 0 and cursor < after then
  return cursor
end
if (last < 0 and after or last) < cursor then
  return cursor
end
for i = 2, #KEYS do
  local at = 3 * i - 3
  local version = redis.call('HGET', KEYS[i], 'version')
  if not version or tonumber(version) < tonumber(ARGV[at]) then
    redis.call('HSET', KEYS[i], 'version', ARGV[at], 'next_due_at', ARGV[at + 1], 'balances', ARGV[at + 2])
  end
end
local reached = math.max(cursor, last)
if reached > cursor or not known then
  redis.call('SET', KEYS[1], string.format('%d', reached))
end
return reached
