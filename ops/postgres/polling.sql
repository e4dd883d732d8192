-- What the poller needs of the tables, for databases that allow no logical decoding: run once, as the tables' owner, with psql.
-- `python -m poller sql` prints it for the tables of any view.
--
-- Each row gets the id of the transaction that wrote it last; the index leads from one poll to the next. Rows that are there
-- already are not rewritten. The locks last for a moment, the index is built beside the writers.
CREATE OR REPLACE FUNCTION poller_tx() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NEW.poller_tx := pg_current_xact_id(); RETURN NEW; END $$;
BEGIN;
ALTER TABLE "users" ADD COLUMN IF NOT EXISTS poller_tx xid8 NOT NULL DEFAULT '0';
DROP TRIGGER IF EXISTS poller_tx ON "users";
CREATE TRIGGER poller_tx BEFORE INSERT OR UPDATE ON "users" FOR EACH ROW EXECUTE FUNCTION poller_tx();
ALTER TABLE "users" ENABLE ALWAYS TRIGGER poller_tx;
COMMIT;
CREATE INDEX CONCURRENTLY IF NOT EXISTS "users_poller_tx" ON "users" (poller_tx, "user_id");
BEGIN;
ALTER TABLE "tweets" ADD COLUMN IF NOT EXISTS poller_tx xid8 NOT NULL DEFAULT '0';
DROP TRIGGER IF EXISTS poller_tx ON "tweets";
CREATE TRIGGER poller_tx BEFORE INSERT OR UPDATE ON "tweets" FOR EACH ROW EXECUTE FUNCTION poller_tx();
ALTER TABLE "tweets" ENABLE ALWAYS TRIGGER poller_tx;
COMMIT;
CREATE INDEX CONCURRENTLY IF NOT EXISTS "tweets_poller_tx" ON "tweets" (poller_tx, "tweet_id");
BEGIN;
ALTER TABLE "follows" ADD COLUMN IF NOT EXISTS poller_tx xid8 NOT NULL DEFAULT '0';
DROP TRIGGER IF EXISTS poller_tx ON "follows";
CREATE TRIGGER poller_tx BEFORE INSERT OR UPDATE ON "follows" FOR EACH ROW EXECUTE FUNCTION poller_tx();
ALTER TABLE "follows" ENABLE ALWAYS TRIGGER poller_tx;
COMMIT;
CREATE INDEX CONCURRENTLY IF NOT EXISTS "follows_poller_tx" ON "follows" (poller_tx, "follow_id");
BEGIN;
ALTER TABLE "likes" ADD COLUMN IF NOT EXISTS poller_tx xid8 NOT NULL DEFAULT '0';
DROP TRIGGER IF EXISTS poller_tx ON "likes";
CREATE TRIGGER poller_tx BEFORE INSERT OR UPDATE ON "likes" FOR EACH ROW EXECUTE FUNCTION poller_tx();
ALTER TABLE "likes" ENABLE ALWAYS TRIGGER poller_tx;
COMMIT;
CREATE INDEX CONCURRENTLY IF NOT EXISTS "likes_poller_tx" ON "likes" (poller_tx, "like_id");
