# Signs and verifies with Mail::DKIM. Requests come on standard input, answers
# go to standard output: a count of fields, then each field with its length, all
# numbers four octets, the highest first.
use strict;
use warnings;
use Mail::DKIM::DNS;
use Mail::DKIM::PrivateKey;
use Mail::DKIM::Signer;
use Mail::DKIM::Verifier;
use MIME::Base64;
use Net::DNS;

my %zone;

# Zone stands in for a Net::DNS::Resolver.
package Zone;
sub new { return bless {}, shift }
sub errorstring { return 'NOERROR' }

sub send {
    my ($self, $name, $type) = @_;
    my $packet = Net::DNS::Packet->new($name, $type);
    if (defined $zone{lc $name}) {
        my @strings = unpack '(a255)*', $zone{lc $name};
        $packet->push(answer => Net::DNS::RR->new(owner => $name, type => 'TXT', txtdata => \@strings));
    }
    return $packet;
}

package main;
binmode STDIN;
binmode STDOUT;
Mail::DKIM::DNS::resolver(Zone->new);

sub read_exactly {
    my $n = shift;
    my $data = '';
    while (length $data < $n) {
        my $got = read STDIN, $data, $n - length $data, length $data;
        exit 0 unless $got;
    }
    return $data;
}

sub read_number { return unpack 'N', read_exactly(4) }

sub answer {
    print pack('N', scalar @_), map { utf8::encode($_) if utf8::is_utf8($_); pack('N', length $_) . $_ } @_;
    STDOUT->flush;
}

# Five fields a signature: status, d=, s=, a=, explanation.
sub verify {
    my $verifier = Mail::DKIM::Verifier->new;
    $verifier->PRINT(shift);
    $verifier->CLOSE;
    return map {
        ($_->result // '', $_->domain // '', $_->selector // '', $_->algorithm // '', $_->result_detail // '')
    } $verifier->signatures;
}

sub sign {
    my ($domain, $selector, $canonicalization, $algorithm, $key, $message) = @_;
    my ($base64) = $key =~ /-----BEGIN[^-]*-----(.*?)-----END/s;
    $base64 =~ s/\s//g;
    my $signer = Mail::DKIM::Signer->new(
        Algorithm => $algorithm,
        Method    => $canonicalization,
        Domain    => $domain,
        Selector  => $selector,
        Key       => Mail::DKIM::PrivateKey->load(Data => $base64),
    );
    $signer->PRINT($message);
    $signer->CLOSE;
    return $signer->signature->as_string . "\r\n";
}

my %commands = (
    record => sub { $zone{ lc $_[0] } = $_[1]; return () },
    verify => \&verify,
    sign   => \&sign,
);

while (1) {
    my ($command, @arguments) = map { read_exactly(read_number()) } 1 .. read_number();
    my $run = $commands{$command};
    my @result = eval { $run ? $run->(@arguments) : die "unknown command $command\n" };
    if (my $error = $@) {
        answer('error', $error);
    }
    else {
        answer('ok', @result);
    }
}
