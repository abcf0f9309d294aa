package sftp

import (
	"encoding/binary"
	"os/user"
	"strconv"
)

// accountsKept is how many names of each kind are kept. The files of one host have fewer
// owners, but a client may ask for any number.
const accountsKept = 4096

// accounts are the names of users and groups that were looked up; "" is a number without a
// name.
type accounts struct {
	users, groups map[uint32]string
}

// user returns the name of a user, or the number if that has no name.
func (a *accounts) user(uid uint32) string {
	return orNumber(lookUp(&a.users, uid, userName), uid)
}

func (a *accounts) group(gid uint32) string {
	return orNumber(lookUp(&a.groups, gid, groupName), gid)
}

func orNumber(name string, id uint32) string {
	if name == "" {
		return decimal(id)
	}
	return name
}

func decimal(id uint32) string { return strconv.FormatUint(uint64(id), 10) }

func userName(id string) string {
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return ""
}

func groupName(id string) string {
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return ""
}

// lookUp returns the name of an account, and keeps it.
func lookUp(kept *map[uint32]string, id uint32, find func(string) string) string {
	if name, ok := (*kept)[id]; ok {
		return name
	}
	if *kept == nil || len(*kept) >= accountsKept {
		*kept = make(map[uint32]string)
	}
	name := find(decimal(id))
	(*kept)[id] = name
	return name
}

// usersGroups answers with the names of all users and groups of the request.
func (s *server) usersGroups(q *request) error {
	if len(q.uids)%4 != 0 || len(q.gids)%4 != 0 {
		return statusBadMessage
	}
	s.begin(answerExtended, q.id)
	for _, kind := range []struct {
		ids  []byte
		kept *map[uint32]string
		find func(string) string
	}{{q.uids, &s.accounts.users, userName}, {q.gids, &s.accounts.groups, groupName}} {
		head := len(s.out)
		s.uint32(0)
		for ids := kind.ids; len(ids) > 0; ids = ids[4:] {
			s.string(lookUp(kind.kept, binary.BigEndian.Uint32(ids), kind.find))
			if len(s.out) > 4+maxPacket {
				return statusBadMessage // more than an answer holds
			}
		}
		binary.BigEndian.PutUint32(s.out[head:], uint32(len(s.out)-head-4))
	}
	return nil
}

// homeDirectory answers with the home directory of a user, or of the server's own user.
func (s *server) homeDirectory(q *request) error {
	u, err := user.Current()
	if q.path != "" {
		u, err = user.Lookup(q.path)
	}
	if err != nil {
		return err
	}
	s.answerName(q, toWire(u.HomeDir))
	return nil
}
