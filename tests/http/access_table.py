"""Who may send what: the answer to every method of every end point, written down by hand.

A row is a request (``access_requests.py`` says how each is made, on content with which it succeeds where it is
allowed), a column who sends it, in modes basic and token. All users have their rights in ``team/**``:

    none  no credentials                    crea  user: create
    anon  a token without credentials       upda  user: update
    bad   a wrong password                  dele  user: delete
    old   an expired token of "all"         all   user: admin in **
    gone  a token of a user who is gone     robo  robot: pull, push
    user  user without rules                late  a robot that has expired
    pull  user: pull                        othe  token of "all" for another repository
    push  user: pull, push                  limi  token of "all" to pull from this one
    open  no credentials, mode open         oper  on the admin socket
"""

TABLE = """
                      none anon bad  old  gone user pull push crea upda dele all  robo late othe limi open oper

GET live              200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200
HEAD live             200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200
GET healthz           200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200
HEAD healthz          200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200
GET ready             200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200
GET ready verbose     200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200
HEAD ready            200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200
GET metrics           401  401  401  401  401  403  403  403  403  403  403  200  403  401  401  401  200  200
HEAD metrics          401  401  401  401  401  403  403  403  403  403  403  200  403  401  401  401  200  200

GET version           401  200  401  401  401  200  200  200  200  200  200  200  200  401  200  200  200  200
HEAD version          401  200  401  401  401  200  200  200  200  200  200  200  200  401  200  200  200  200
GET extensions        401  200  401  401  401  200  200  200  200  200  200  200  200  401  200  200  200  200
HEAD extensions       401  200  401  401  401  200  200  200  200  200  200  200  200  401  200  200  200  200
GET catalog           401  401  401  401  401  200  200  200  200  200  200  200  200  401  401  401  200  200
HEAD catalog          401  401  401  401  401  200  200  200  200  200  200  200  200  401  401  401  200  200

GET tags              401  401  401  401  401  403  200  200  403  403  403  200  200  401  401  200  200  200
HEAD tags             401  401  401  401  401  403  200  200  403  403  403  200  200  401  401  200  200  200
GET referrers         401  401  401  401  401  403  200  200  403  403  403  200  200  401  401  200  200  200
HEAD referrers        401  401  401  401  401  403  200  200  403  403  403  200  200  401  401  200  200  200
GET manifest tag      401  401  401  401  401  403  200  200  403  403  403  200  200  401  401  200  200  200
GET manifest digest   401  401  401  401  401  403  200  200  403  403  403  200  200  401  401  200  200  200
HEAD manifest tag     401  401  401  401  401  403  200  200  403  403  403  200  200  401  401  200  200  200
HEAD manifest digest  401  401  401  401  401  403  200  200  403  403  403  200  200  401  401  200  200  200
GET blob              401  401  401  401  401  403  200  200  403  403  403  200  200  401  401  200  200  200
GET blob range        401  401  401  401  401  403  206  206  403  403  403  206  206  401  401  206  206  206
HEAD blob             401  401  401  401  401  403  200  200  403  403  403  200  200  401  401  200  200  200

PUT manifest create   401  401  401  401  401  403  403  201  201  403  403  201  201  401  401  401  201  201
PUT manifest move     401  401  401  401  401  403  403  201  403  201  403  201  201  401  401  401  201  201
PUT manifest again    401  401  401  401  401  403  403  201  201  201  403  201  201  401  401  401  201  201
PUT manifest digest   401  401  401  401  401  403  403  201  201  201  403  201  201  401  401  401  201  201
PUT manifest tags     401  401  401  401  401  403  403  201  201  403  403  201  201  401  401  401  201  201
PUT manifest type     401  401  401  401  401  403  403  201  403  201  403  201  201  401  401  401  201  201
DELETE manifest tag   401  401  401  401  401  403  403  403  403  403  202  202  403  401  401  401  202  202
DELETE manifest digest401  401  401  401  401  403  403  403  403  403  202  202  403  401  401  401  202  202
DELETE blob           401  401  401  401  401  403  403  403  403  403  202  202  403  401  401  401  202  202

POST uploads          401  401  401  401  401  403  403  202  202  202  403  202  202  401  401  401  202  202
POST uploads digest   401  401  401  401  401  403  403  201  201  201  403  201  201  401  401  401  201  201
POST uploads mount    401  401  401  401  401  403  403  201  202  202  403  201  201  401  401  401  201  201
POST uploads anywhere 401  401  401  401  401  403  403  201  202  202  403  201  201  401  401  401  201  201
GET upload            401  401  401  401  401  403  403  204  204  204  403  204  204  401  401  401  204  204
HEAD upload           401  401  401  401  401  403  403  204  204  204  403  204  204  401  401  401  204  204
PATCH upload          401  401  401  401  401  403  403  202  202  202  403  202  202  401  401  401  202  202
PUT upload            401  401  401  401  401  403  403  201  201  201  403  201  201  401  401  401  201  201
DELETE upload         401  401  401  401  401  403  403  204  204  204  403  204  204  401  401  401  204  204
"""

TOKEN = """
                      none anon bad  old  gone user pull push crea upda dele all  robo late othe limi open oper

GET token             200  401  401  401  401  200  200  200  200  200  200  200  200  401  401  401  404  200
HEAD token            200  401  401  401  401  200  200  200  200  200  200  200  200  401  401  401  404  200
POST token            400  401  401  401  401  200  200  200  200  200  200  200  200  401  401  401  404  400
"""
"""In mode token; in mode basic the end point is not there: 404 for everybody. POST has its credentials in the form."""

ADMIN = """
GET admin-gc
HEAD admin-gc
POST admin-gc
GET admin-explain
HEAD admin-explain
POST admin-backup
POST admin-fsck
GET admin-mode
HEAD admin-mode
PUT admin-mode
DELETE admin-mode
GET admin-database
HEAD admin-database
POST admin-database
GET admin-repositories
HEAD admin-repositories
DELETE admin-repositories
GET admin-tags
HEAD admin-tags
POST admin-tags
POST admin-scrub
GET admin-users
HEAD admin-users
POST admin-users
PUT admin-users
DELETE admin-users
GET admin-groups
HEAD admin-groups
POST admin-groups
DELETE admin-groups
GET admin-robots
HEAD admin-robots
POST admin-robots
PUT admin-robots
DELETE admin-robots
GET admin-rules
HEAD admin-rules
POST admin-rules
DELETE admin-rules
GET admin-rules-check
HEAD admin-rules-check
GET admin-audit
HEAD admin-audit
GET admin-restoration
HEAD admin-restoration
POST admin-restoration
"""
"""On the admin socket 200; elsewhere these end points are not there: 404 for everybody."""


def read(table: str) -> dict[str, dict[str, int]]:
    """The status for each request and column."""
    header, *lines = [line for line in table.splitlines() if line.strip()]
    columns = header.split()
    rows = {line[:22].strip(): [int(word) for word in line[22:].split()] for line in lines}
    assert len(rows) == len(lines)
    return {name: dict(zip(columns, statuses, strict=True)) for name, statuses in rows.items()}
