-- The tables of the welcome application. Can be applied again at any time.
SET ROLE :"owner";

CREATE TABLE IF NOT EXISTS content (
    id serial PRIMARY KEY,
    quote text NOT NULL,
    image_filename text NOT NULL,
    created_at timestamp DEFAULT now()
);

-- Used where the images are kept in the database.
CREATE TABLE IF NOT EXISTS image (
    filename text PRIMARY KEY,
    mime text NOT NULL,
    data bytea NOT NULL
);
-- Images are compressed already.
ALTER TABLE image ALTER COLUMN data SET STORAGE EXTERNAL;

COMMENT ON DATABASE :"DBNAME" IS :'version';
