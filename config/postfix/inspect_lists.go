package postfix

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postseal/postseal/milter/finding"
)

// elements is a list of milters as a service has it; nil: main.cf's.
func (i *inspection) elements(s *Service, name string) []element {
	value := i.Value(name)
	if s != nil {
		value = i.Of(s, name)
	}
	list, err := parseList(value)
	if err != nil {
		return nil // Wire says so
	}
	return list
}

// our are the elements of a list that are us.
func (i *inspection) our(list []element) (ours []element) {
	for _, e := range list {
		if slices.ContainsFunc(i.Sockets, func(s Socket) bool { return i.reaches(e.address, s) }) {
			ours = append(ours, e)
		}
	}
	return ours
}

// has reports whether a service's list has us.
func (i *inspection) has(s *Service, name string) bool { return len(i.our(i.elements(s, name))) > 0 }

// away reports whether a service's receive_override_options keep milters away.
func (i *inspection) away(s *Service) bool {
	value := i.Value(overrideOptions)
	if s != nil {
		value = i.Of(s, overrideOptions)
	}
	return slices.Contains(words(value), noMilters)
}

// passes reports whether what an smtpd service takes in passes us.
func (i *inspection) passes(s *Service) bool { return i.has(s, smtpList) && !i.away(s) }

// sort finds the services that take mail in by SMTP, and those that take it back.
func (i *inspection) sort() {
	for n := range i.Services {
		if s := &i.Services[n]; s.Program == "smtpd" {
			if i.reenters(s) {
				i.reentries = append(i.reentries, s)
			} else {
				i.intake = append(i.intake, s)
			}
		}
	}
}

// missing looks for us in main.cf.
func (i *inspection) missing() {
	var names, effects []string
	level := finding.Problem
	if !i.has(nil, smtpList) && i.inherited() {
		names = append(names, smtpList)
		effects = append(effects, "mail that comes by SMTP is neither signed nor verified")
		if slices.ContainsFunc(i.intake, i.passes) {
			level = finding.Warning // on purpose, it seems
			effects[0] = "mail that comes by SMTP, other than by services with milters of their own, is neither signed nor verified"
		}
	}
	if !i.has(i.localCleanup(), otherList) && !i.overridden(i.localCleanup(), otherList) && i.signs {
		names = append(names, otherList)
		effects = append(effects, "mail of this machine's own programs, which comes by sendmail(1), leaves unsigned")
		if len(names) == 1 {
			level = finding.Problem
		}
	}
	if len(names) == 0 {
		return
	}
	i.add(MilterMissing, level,
		fmt.Sprintf("postseal is not in %s of %s/main.cf.", strings.Join(names, " and "), i.Dir),
		sentence(strings.Join(effects, "; ")),
		i.wireFix(names))
}

// wireFix is what puts us into lists of main.cf.
func (i *inspection) wireFix(names []string) string {
	var lists []place
	for _, l := range i.lists() {
		if l.service == "" && slices.Contains(names, l.name) {
			lists = append(lists, l)
		}
	}
	return i.fixLists(lists)
}

func (i *inspection) fixLists(lists []place) string {
	edits, err := i.wire(lists, i.Sockets)
	if err != nil {
		return sentence(err.Error())
	}
	return i.fix(edits...)
}

// sentence writes a text as one.
func sentence(text string) string {
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// inherited reports whether some service has main.cf's smtpd_milters; so it is where
// there is none at all.
func (i *inspection) inherited() bool {
	return len(i.intake) == 0 || slices.ContainsFunc(i.intake, func(s *Service) bool { return !i.overridden(s, smtpList) })
}

func (i *inspection) overridden(s *Service, name string) bool {
	if s == nil {
		return false
	}
	_, ok := s.Override(name)
	return ok
}

// localCleanup is the service that mail of sendmail(1) goes through, nil if there is
// none.
func (i *inspection) localCleanup() *Service {
	const parameter = "cleanup_service_name"
	name := i.Value(parameter)
	if pickup := i.service("pickup/unix"); pickup != nil {
		name = i.Of(pickup, parameter)
	}
	return i.service(name + "/unix")
}

// overrides looks for services of master.cf that undo what main.cf says.
func (i *inspection) overrides() {
	if i.away(nil) {
		i.noMilters(nil)
	}
	for _, s := range i.intake {
		if !i.has(s, smtpList) && i.overridden(s, smtpList) {
			level := finding.Problem
			if strings.Trim(s.written[smtpList], blanks+",") == "" && !isPublic(s) {
				level = finding.Warning // a port of its own, on purpose, it seems
			}
			i.override(level, s, smtpList, fmt.Sprintf("Mail that the service %s takes in is neither signed nor verified.", shown(s.Name)))
		}
		if _, ok := s.Override(overrideOptions); ok && i.away(s) {
			i.noMilters(s)
		}
	}
	if s := i.localCleanup(); i.signs && i.overridden(s, otherList) && !i.has(s, otherList) {
		i.override(finding.Problem, s, otherList, "Mail of this machine's own programs leaves unsigned.")
	}
	if s := i.service("pickup/unix"); s != nil && i.signs && i.overridden(s, overrideOptions) && i.away(s) {
		i.noMilters(s)
	}
	if maps := i.Value("smtpd_milter_maps"); maps != "" {
		i.add(ByClient, finding.Note,
			fmt.Sprintf("smtpd_milter_maps gives some clients other milters, or none: %s.", shown(maps)),
			"Whether mail of those passes postseal was not looked at.",
			"Have each list in there name "+i.name()+", but for clients whose mail shall pass no milter (DISABLE).")
	}
}

// name is how main.cf names our socket.
func (i *inspection) name() string {
	address, err := i.address(i.Sockets[0])
	if err != nil {
		return "postseal's socket"
	}
	return address
}

// override tells of a service with a list of its own that is without us.
func (i *inspection) override(level finding.Level, s *Service, name, effect string) {
	fix := i.fix(i.unset(s, name))
	if strings.Trim(s.written[name], blanks+",") != "" {
		fix = i.fixLists([]place{{s.String(), name}})
	}
	i.add(MilterOverridden, level,
		fmt.Sprintf("The service %s in %s/master.cf has \"-o %s=%s\", without postseal.", shown(s.Name), i.Dir, name, shown(s.written[name])),
		effect, fix)
}

// noMilters tells of no_milters at one place; nil: main.cf.
func (i *inspection) noMilters(s *Service) {
	where, what, value := i.Dir+"/main.cf", "All mail", i.Written(overrideOptions)
	if s != nil {
		where, what, value = fmt.Sprintf("the service %s in %s/master.cf", shown(s.Name), i.Dir), "Mail that this service takes in", s.written[overrideOptions]
	}
	rest := slices.DeleteFunc(words(value), func(w string) bool { return w == noMilters })
	edit := i.set(s, overrideOptions, strings.Join(rest, ","))
	if s != nil && len(rest) == 0 {
		edit = i.unset(s, overrideOptions)
	}
	i.add(NoMilters, finding.Problem,
		fmt.Sprintf("receive_override_options of %s has no_milters.", where),
		what+" is neither signed nor verified.", i.fix(edit))
}
