package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/postseal/postseal/keys/ledger"
	"github.com/postseal/postseal/keys/rotation"
	"github.com/postseal/postseal/keys/zone"
)

// rotated is what rotate prints with --json.
type rotated struct {
	Keys   []rotatedKey   `json:"keys"`
	Events []rotatedEvent `json:"events"`
}

// rotatedKey is a key and what comes next.
type rotatedKey struct {
	Name     string       `json:"name"`
	Domain   string       `json:"domain"`
	Selector string       `json:"selector"`
	Type     string       `json:"type,omitempty"`
	Bits     int          `json:"bits,omitempty"`
	File     string       `json:"file,omitempty"`
	State    ledger.State `json:"state"`
	Since    time.Time    `json:"since,omitzero"`
	// Until is when the wait of the state ends.
	Until time.Time `json:"until,omitzero"`
	// Next says in words what comes next.
	Next string `json:"next"`
	// Missing says why not all name servers show the record, where they do not.
	Missing string `json:"missing,omitempty"`
	// Record is what a person has to publish.
	Record *rotatedRecord `json:"record,omitempty"`
}

type rotatedRecord struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Zone  string `json:"zone"`
}

// rotatedEvent is what was done or found.
type rotatedEvent struct {
	Key    string          `json:"key,omitempty"`
	Domain string          `json:"domain"`
	Action rotation.Action `json:"action,omitempty"`
	State  ledger.State    `json:"state,omitempty"`
	From   ledger.State    `json:"from,omitempty"`
	Handed bool            `json:"handed,omitempty"`
	Note   string          `json:"note,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// show prints all keys.
func (r *rotating) show() error {
	active, err := r.Active()
	if err != nil {
		return r.unreadable(err)
	}
	list := slices.Clone(r.Ledger.Keys)
	for _, k := range active {
		if r.Ledger.Find(k.Name) == nil {
			list = append(list, k)
		}
	}
	slices.SortStableFunc(list, func(a, b ledger.Key) int { return strings.Compare(a.Domain, b.Domain) })
	if r.asJSON {
		return printJSON(r.cmd, r.json(list, nil, nil))
	}
	out := r.cmd.OutOrStdout()
	if len(list) == 0 {
		fmt.Fprintln(out, r.form.words("No key of key_table signs. postseal genkey -d DOMAIN -s SELECTOR --add makes one."))
		return nil
	}
	r.table(out, list)
	return nil
}

// table prints keys and their states.
func (r *rotating) table(w io.Writer, list []ledger.Key) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "DOMAIN\tSELECTOR\tTYPE\tSTATE\tSINCE\tNEXT")
	for _, k := range list {
		since := "unknown"
		if !k.Since.IsZero() {
			since = k.Since.Local().Format(time.DateOnly)
		}
		kind := k.Type
		if kind == "" {
			kind = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", k.Domain, k.Selector, kind, k.State, since, r.next(k))
	}
	_ = t.Flush() // an error means that the reader has gone
}

// report prints what a run has done and what comes next; its error is the exit status.
func (r *rotating) report(domains []string, events []rotation.Event, failed []refused) error {
	var list []ledger.Key
	for _, d := range domains {
		list = append(list, r.Ledger.Of(d)...)
	}
	bad := len(failed) > 0
	began := map[string]bool{} // by this run, as it should
	for _, e := range events {
		began[e.Key.Domain] = began[e.Key.Domain] || e.Action == rotation.Make && e.Err == nil
		bad = bad || e.Err != nil
	}
	for _, e := range events {
		bad = bad || e.Action == rotation.WarnGone && !began[e.Key.Domain]
	}
	var err error
	if r.asJSON {
		err = printJSON(r.cmd, r.json(list, events, failed))
	} else {
		r.printEvents(events, failed)
		if len(failed) < len(domains) {
			r.printKeys(domains, list)
		}
	}
	if err == nil && bad {
		err = exitError{code: exitFailed}
	}
	return err
}

// printEvents prints what was done on standard output, and what is wrong on standard
// error.
func (r *rotating) printEvents(events []rotation.Event, failed []refused) {
	out, complaints := r.cmd.OutOrStdout(), r.cmd.ErrOrStderr()
	if r.keepIs != "" && len(events) > 0 {
		fmt.Fprintf(complaints, "postseal: %s\n", r.keepIs)
	}
	for _, f := range failed {
		fmt.Fprintf(complaints, "postseal: %s: %s\n", f.domain, printable(r.form.words(f.err.Error())))
	}
	for _, e := range events {
		words, warn := eventWords(e, r.dryRun)
		switch {
		case words == "":
		case e.Err != nil:
			fmt.Fprintf(complaints, "postseal: %s: %s; it stays as it was, and the next run tries again\n", shown(e.Key.Name), printable(r.form.words(e.Err.Error())))
		case warn:
			fmt.Fprintf(complaints, "postseal: warning: %s\n", printable(words))
		default:
			fmt.Fprintln(out, printable(r.form.words(words)))
		}
	}
}

// eventWords is an event in a sentence; "" for one that needs none.
func eventWords(e rotation.Event, would bool) (words string, warn bool) {
	name, record := shown(e.Key.Name), e.Key.RecordName()
	note := ""
	if e.Note != "" {
		note = " " + e.Note
	}
	did := func(done, toDo string) string {
		if would {
			return "Would " + toDo + "."
		}
		return done + "." + note
	}
	switch e.Action {
	case rotation.Make:
		return did("Made the key "+name, "make the key "+name+" and its row in key_table"), false
	case rotation.Publish:
		if !e.Handed && !would {
			return "", false // the record is printed
		}
		return did("Handed the record of "+record+" to the name server", "have the record of "+record+" published"), false
	case rotation.Switch:
		return did("The rows that named "+strings.Join(e.Key.Replaces, ", ")+" name "+name,
			"have the rows of signing_table that name "+strings.Join(e.Key.Replaces, ", ")+" name "+name), false
	case rotation.Revoke:
		if !e.Handed && !would {
			return "", false
		}
		return did("Had the name server revoke "+record, "revoke "+record), false
	case rotation.Withdraw:
		if !e.Handed && !would {
			return "If its record is in DNS, delete it: " + record, false
		}
		return did("Took the record of "+record+" out of DNS", "take "+record+" out of DNS"), false
	case rotation.Remove:
		return did("Took "+name+" out of key_table", "take "+name+" out of key_table, and put its file away"), false
	case rotation.WarnGone:
		return fmt.Sprintf("DNS lacks the record of %s, which signs or has signed mail under way: receivers cannot verify that.%s Publish it: postseal genzone prints it.", record, note), true
	case rotation.WarnWaits:
		return fmt.Sprintf("%s has waited for days.%s The key that it replaces signs meanwhile. Publish the record, or see to the name servers; one that is no more has to leave the zone's NS records.", record, note), true
	case rotation.WarnBack:
		return fmt.Sprintf("The record of %s was there and is not now, so it has to wait anew.%s", record, note), true
	case rotation.WarnSigns:
		return fmt.Sprintf("A row names %s again: it signs, and stays.", name), true
	}
	if e.From != "" && e.Key.State == ledger.Forgotten {
		return "", false
	}
	return fmt.Sprintf("%s: %s → %s", record, e.From, e.Key.State), false
}

// printKeys prints what comes next.
func (r *rotating) printKeys(domains []string, list []ledger.Key) {
	out := r.cmd.OutOrStdout()
	auto := r.cmd.Flags().Changed("auto")
	if auto { // which runs for ever: what goes on as it did is not told
		list = slices.DeleteFunc(list, func(k ledger.Key) bool { return k.State == ledger.Active })
	}
	if len(list) == 0 {
		if !auto {
			fmt.Fprintln(out, "No rotation is under way.")
		}
		return
	}
	if !r.dryRun {
		r.printRecords(domains)
	}
	r.table(out, list)
	if !r.dryRun {
		r.printNext(list)
	}
}

// printNext says how to go on.
func (r *rotating) printNext(list []ledger.Key) {
	out := r.cmd.OutOrStdout()
	var next time.Time
	waits, old := false, false
	for _, k := range list {
		old = old || k.State == ledger.Retired
		if k.State == ledger.Active || k.State == ledger.Retired {
			continue
		}
		waits = true
		if u := k.Until(); !u.IsZero() && (next.IsZero() || u.Before(next)) {
			next = u
		}
	}
	on := "run this again"
	switch there, enabled := rotateTimer(); {
	case enabled:
		on += ", or wait for the timer"
	case there:
		on += ", or let the timer do it: systemctl enable --now " + timerUnit
	}
	switch {
	case waits && next.IsZero():
		fmt.Fprintf(out, "\nTo go on: %s\n", on)
	case waits:
		fmt.Fprintf(out, "\nTo go on, after %s: %s\n", next.Local().Format(time.DateTime), on)
	case old:
		fmt.Fprint(out, "\nThe new keys sign. Retired ones leave this list once they are revoked and some time has passed; --force begins the next rotation before.\n")
	}
}

// timerUnit runs "rotate --auto".
const timerUnit = "postseal-rotate.timer"

// rotateTimer reports whether systemd knows the timer here, and starts it.
func rotateTimer() (there, enabled bool) {
	for _, folder := range []string{"/etc/systemd/system/", "/usr/lib/systemd/system/", "/lib/systemd/system/"} {
		_, err := os.Stat(folder + timerUnit)
		there = there || err == nil
	}
	_, err := os.Lstat("/etc/systemd/system/timers.target.wants/" + timerUnit)
	return there, there && err == nil
}

// printRecords prints the records that a person has to publish.
func (r *rotating) printRecords(domains []string) {
	out := r.cmd.OutOrStdout()
	end := ""
	for _, d := range domains {
		for _, k := range r.Ledger.Of(d) {
			record, ok := r.byHand(k)
			if !ok {
				continue
			}
			what := "Publish this record"
			if alias := r.Seen[k.Name].Alias; alias != "" {
				what = fmt.Sprintf("%s is an alias of %s: have whoever keeps that revoke the key, with this record in its place", k.RecordName(), shown(alias))
			} else if k.State == ledger.Retired {
				what = "Publish this in place of the record of " + k.Selector + ", to revoke it; the record may also be deleted"
			}
			fmt.Fprintf(out, "\n%s:\n%sor in a web form (type TXT; host name, and value on one line):\n%s\n%s\n",
				what, record, record.Host(k.Domain), record.Text)
			end = "\n"
		}
	}
	fmt.Fprint(out, end)
}

// byHand is the record that a person has to publish for a key, if there is one.
func (r *rotating) byHand(k ledger.Key) (record zone.Record, ok bool) {
	seen := r.Seen[k.Name]
	switch _, handed := r.Ledger.Updates[k.Domain]; {
	case handed && seen.Alias == "":
	case k.State == ledger.Pending && k.Record != "":
		return zone.Key(k.Selector, k.Domain, k.Record), true
	case k.State == ledger.Retired && seen.Anywhere:
		return zone.Key(k.Selector, k.Domain, rotation.Revoked), true
	}
	return record, false
}

// next says what comes next for a key.
func (r *rotating) next(k ledger.Key) string {
	until := k.Until().Local().Format(time.DateTime)
	over := k.Due(r.Now())
	switch k.State {
	case ledger.Pending:
		switch seen := r.Seen[k.Name]; {
		case seen.Shown == rotation.Unsure && seen.Why != "":
			return "waits for name servers that do not answer"
		case seen.Anywhere:
			return "waits for the other name servers"
		}
		return "waits for its record in DNS"
	case ledger.Published:
		if over {
			return "signs once the others can"
		}
		return "signs after " + until
	case ledger.Active:
		for _, o := range r.Ledger.Of(k.Domain) {
			if slices.Contains(o.Replaces, k.Name) {
				return "signs until " + o.Selector + " does"
			}
		}
		return "signs"
	case ledger.Retiring:
		return "its record stays until " + until
	case ledger.Retired:
		if r.Seen[k.Name].Anywhere {
			return "its record is to be revoked"
		}
		return "done; its record may be deleted"
	}
	return ""
}

// json is the whole for --json.
func (r *rotating) json(list []ledger.Key, events []rotation.Event, failed []refused) rotated {
	out := rotated{Keys: []rotatedKey{}, Events: []rotatedEvent{}}
	for _, k := range list {
		one := rotatedKey{
			Name: k.Name, Domain: k.Domain, Selector: k.Selector, Type: k.Type, Bits: k.Bits, File: k.File,
			State: k.State, Since: k.Since, Until: k.Until(), Next: r.next(k), Missing: r.Seen[k.Name].Why,
		}
		if record, ok := r.byHand(k); ok {
			one.Record = &rotatedRecord{record.Name, record.Text, record.String()}
		}
		out.Keys = append(out.Keys, one)
	}
	for _, e := range events {
		one := rotatedEvent{Key: e.Key.Name, Domain: e.Key.Domain, Action: e.Action, State: e.Key.State, From: e.From, Handed: e.Handed, Note: e.Note}
		if e.Err != nil {
			one.Error = r.form.words(e.Err.Error())
		}
		out.Events = append(out.Events, one)
	}
	for _, f := range failed {
		out.Events = append(out.Events, rotatedEvent{Domain: f.domain, Error: r.form.words(f.err.Error())})
	}
	return out
}
