package files

import (
	"bytes"
	"sync"

	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
	"github.com/mitosis-go/mitosis/core"
)

// down is a connection on which a copy is passed on.
type down struct {
	conn conn
	// members are the numbers of the members that get the copy through it.
	members []int
	// spreads says that the other end runs spread, not receive.
	spreads bool
}

// outcome is the result of the copy of one member.
type outcome struct {
	_      struct{} `cbor:",toarray"`
	Member int
	Result Result
	Err    []byte // encoded; nil: none
}

func failed(members []int, err error) []outcome {
	list := make([]outcome, len(members))
	b := core.EncodeError(err)
	for i, m := range members {
		list[i] = outcome{Member: m, Err: b}
	}
	return list
}

// sendAll is sendTree for an other side that runs spread. src is a single file, whose
// checksum has been computed.
func sendAll(c conn, src *source, o Options) ([]outcome, error) {
	b, _, err := converse(c, src, o)
	var all []outcome
	if err == nil {
		if err = core.Unmarshal(b, &all); err != nil {
			err = wire.ProtocolError("outcomes that can't be decoded")
		}
	}
	return all, err
}

// ahead is how many records wait for one of many receivers, at most. A receiver that is
// slower holds up the others.
const ahead = 8

// record is a record that is passed on.
type record struct {
	kind byte
	body []byte
}

// branch passes a copy on over one down, in a goroutine that spread waits for.
type branch struct {
	down
	records  chan record       // capacity ahead; closed by spread
	verdict  chan wire.Verdict // capacity 1; sent and then closed by the branch; closed at once if that has failed
	outcomes []outcome         // to be read when the goroutine has ended
}

// spread passes a copy of one file on to many receivers, and reports the result of each.
// No receiver can fail the copies of the others. It returns the first error of up, with
// which all connections have been reset.
func spread(up conn, downs []down) error {
	in, out := wire.NewReader(up), wire.NewWriter(up)
	branches := make([]*branch, len(downs))
	var running sync.WaitGroup
	for i, d := range downs {
		b := &branch{down: d, records: make(chan record, ahead), verdict: make(chan wire.Verdict, 1)}
		branches[i] = b
		running.Go(b.loop)
	}
	err := pass(in, out, branches)
	if err != nil {
		for _, b := range branches {
			b.conn.Reset(err)
		}
	}
	for _, b := range branches {
		close(b.records)
	}
	running.Wait()
	if err == nil {
		var all []outcome
		for _, b := range branches {
			all = append(all, b.outcomes...)
		}
		if err = out.Value(wire.RecResult, all); err == nil {
			err = out.Flush()
		}
	}
	if err != nil {
		up.Reset(err)
	}
	return err
}

// pass passes records on, up to the last one of the sender.
func pass(in *wire.Reader, out *wire.Writer, branches []*branch) error {
	for first := true; ; first = false {
		kind, size, err := in.Next()
		if err != nil {
			return err
		}
		body, err := in.Body(size)
		if err != nil {
			return err
		}
		if first != (kind == wire.RecEntry) {
			return wire.ProtocolError("not a copy of one file")
		}
		for _, b := range branches {
			b.records <- record{kind, body}
		}
		switch kind {
		case wire.RecEnd:
			return nil
		case wire.RecEntry:
			want := wire.Verdict{Kind: wire.NeedNothing}
			for _, b := range branches {
				if v, ok := <-b.verdict; ok && v.Kind != wire.NeedNothing {
					want.Kind, want.Direct = wire.NeedAll, want.Direct || v.Direct
				}
			}
			if err := out.Value(wire.RecVerdict, &want); err != nil {
				return err
			}
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

// loop passes records on until spread closes their channel. It reads all of them, even if
// the branch has failed.
func (b *branch) loop() {
	outcomes, err := b.pass()
	if err != nil {
		b.conn.Reset(err)
		outcomes = failed(b.members, err)
	}
	b.outcomes = outcomes
	for range b.records {
	}
}

func (b *branch) pass() ([]outcome, error) {
	in, out := wire.NewReader(b.conn), wire.NewWriter(b.conn)
	same, err := b.begin(in, out)
	close(b.verdict)
	if err != nil {
		return nil, err
	}
	for r := range b.records {
		switch {
		case same && r.kind == wire.RecFinish:
			r = record{kind: wire.RecSame}
		case same && r.kind != wire.RecEnd && r.kind != wire.RecSame:
			continue
		}
		if err := out.Record(r.kind, r.body); err != nil {
			return nil, err
		}
		if r.kind == wire.RecEnd {
			if err := out.Flush(); err != nil {
				return nil, err
			}
			return b.result(in)
		}
	}
	return nil, wire.ProtocolError("an end of the copy before the end of the file")
}

// begin announces the file and receives the verdict.
func (b *branch) begin(in *wire.Reader, out *wire.Writer) (same bool, err error) {
	r, ok := <-b.records
	if !ok {
		return false, wire.ProtocolError("nothing to be copied")
	}
	if err := out.Record(r.kind, r.body); err != nil {
		return false, err
	}
	if err := out.Flush(); err != nil {
		return false, err
	}
	var v wire.Verdict
	kind, size, err := in.Next()
	if err == nil && kind != wire.RecVerdict {
		err = wire.ProtocolError("a record that a receiver does not send")
	}
	if err == nil {
		err = in.Value(size, &v)
	}
	if err == nil && v.Kind != wire.NeedNothing && v.Kind != wire.NeedAll {
		err = wire.ProtocolError("a part of the file is wanted")
	}
	if err == nil {
		b.verdict <- v
	}
	return v.Kind == wire.NeedNothing, err
}

func (b *branch) result(in *wire.Reader) ([]outcome, error) {
	kind, size, err := in.Next()
	if err == nil && kind != wire.RecResult {
		err = wire.ProtocolError("a record that a receiver does not send")
	}
	if err != nil {
		return nil, err
	}
	if b.spreads {
		var all []outcome
		err := in.Value(size, &all)
		return b.own(all), err
	}
	o := outcome{Member: b.members[0]}
	err = in.Value(size, &o.Result)
	return []outcome{o}, err
}

// own leaves out the outcomes of members that are not members of the branch, and adds
// failures for members that have no outcome.
func (b *branch) own(all []outcome) []outcome {
	var list []outcome
	for _, m := range b.members {
		found := failed([]int{m}, wire.ProtocolError("the context on the way to it did not report this copy"))
		for _, o := range all {
			if o.Member == m {
				found = []outcome{o}
				break
			}
		}
		list = append(list, found...)
	}
	return list
}

// failure returns the error of the copy; nil if it has not failed.
func (o *outcome) failure() error {
	if o.Err == nil {
		return nil
	}
	return core.DecodeError(bytes.Clone(o.Err))
}
