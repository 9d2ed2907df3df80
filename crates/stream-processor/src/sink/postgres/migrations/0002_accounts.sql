-- The account of each row: its channel under a name of its own. It follows from meter and channel, so rows of before have theirs as well, and
-- no row can have another one's.
alter table readings add column account text generated always as (meter || '.' || channel::text) stored;
alter table intervals add column account text generated always as (meter || '.' || channel::text) stored;
