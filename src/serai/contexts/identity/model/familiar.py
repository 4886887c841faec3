"""Words that passwords are made of when people choose what is easy to remember; written by us."""

from typing import Final

_HABITS: Final = """
password passwort passwd pass word parola contrasena motdepasse wachtwoord senha haslo salasana
admin administrator root user guest login welcome willkommen bienvenue hello hallo letmein let me
in changeme change changeit secret geheim default master system server computer internet network
office company test testing tester temp temporary demo example sample shop store market customer
trustno trust whatever nothing forever access private security secure account enter open sesame
qazwsx qazwsxedc onetwothree onetwo three four five six seven eight nine ten number money dollar
please again everything something anything nobody somebody world super cool hot sexy fuck fuckyou
fuckoff shit asshole bitch pussy bullshit pokemon naruto minecraft fortnite roblox matrix zelda
mario gandalf frodo hobbit potter harrypotter hogwarts batman superman spiderman ironman starwars
startrek skywalker vader yoda jedi mickey minnie snoopy garfield simpson simpsons bart homer
barbie sleepy happy grumpy lucky crazy funny magic power rocket space galaxy planet earth moon
star stars gamer gaming player winner champion killer shadow phantom ninja samurai hunter ranger
soldier warrior knight wizard merlin viking spartan pirate cowboy gangster thunder lightning storm
fire ice snow water ocean river mountain island beach sun sky blue black white red green yellow
orange purple pink silver golden gold diamond crystal freedom liberty peace justice jesus christ
god bless blessed heaven church angel angels faith hope grace iloveyou ilove love you me my the
and loveyou ichliebedich liebe jetaime tequiero teamo amor lovely lover lovers darling sweetheart
sweet sweetie honey baby babygirl babyboy princess prince queen king kingdom sunshine rainbow
flower flowers rose butterfly summer winter spring autumn sommer fruehling herbst january february
march april may june july august september october november december monday tuesday wednesday
thursday friday saturday sunday today tomorrow family friend friends mother mom mommy father dad
daddy brother sister grandma grandpa boyfriend girlfriend husband wife children
"""
_THINGS: Final = """
dragon monkey tiger lion panda eagle eagles falcon hawk raven dolphin shark whale turtle wolf bear
bears fox puppy dog doggy cat kitty kitten horse pony bunny rabbit mouse elephant giraffe zebra
snake spider scorpion cobra panther jaguar leopard chicken turkey duck goose frog fish buster
bailey chocolate cookie cookies candy cupcake banana apple orange cherry strawberry peach lemon
mango coconut pineapple peanut butter pepper ginger cinnamon vanilla coffee pizza cheese burger
bacon football fussball futbol baseball basketball soccer hockey tennis golf rugby cricket
volleyball swimming skating skate surfing running boxing karate fishing hunting racing music
guitar piano drummer rock metal metallica nirvana slipknot beatles eminem blink samsung iphone
nokia google facebook instagram youtube twitter amazon windows linux ubuntu android microsoft
apple pokemon playstation nintendo xbox ferrari porsche mercedes bmw audi toyota honda nissan ford
mustang camaro chevy chevrolet corvette harley davidson yamaha kawasaki suzuki jeep truck marlboro
"""
_NAMES: Final = """
aaron abigail adam adrian aidan alan albert alejandro alex alexander alexandra alexis alfred alice
alicia alison allison alyssa amanda amber amelia amy ana andrea andreas andrew andy angela
angelina anna anne anthony antonio ariana arthur ashley ashton audrey austin barbara beatrice
benjamin bernard beth bianca bill billy bobby bonnie brandon brandy brenda brian brianna brittany
brooke bruce bruno caitlin cameron carla carlos carmen carol carolina caroline catherine cecilia
charles charlie charlotte chelsea cheryl chloe chris christian christina christine christopher
cindy claire clara claudia colin connor courtney craig crystal cynthia daisy dakota dana daniel
daniela danielle danny david dean deborah denise dennis derek destiny diana diane diego dominic
donald donna doris dorothy douglas dylan edward eleanor elena elijah elisabeth elizabeth ella
ellen emily emma eric erica erik erin ernest ethan eugene eva evan evelyn fabian felix fernando
fiona florence frances francesco francis francisco frank franz frederick fritz gabriel gabriela
gabrielle gary george gerald gina giovanni giulia gloria gordon grace graham greg gregory
guillermo gustavo hannah hans harold harry hassan heather hector heidi helen helena henry howard
hugo ian ibrahim isaac isabel isabella ivan jack jackie jackson jacob jacqueline jake james jamie
jane janet janice jasmine jason javier jeff jeffrey jennifer jenny jeremy jerome jessica jessie
jesus jim jimmy joan joanna joe joel john johnny jonas jonathan jordan jorge jose joseph josephine
joshua juan judith julia julian julie juliet justin karen karina karl kate katherine kathleen
katie kayla keith kelly kenneth kevin kim kimberly kristen kyle larry laura lauren laurence leah
leo leon leonard leonardo leslie liam lily linda lisa logan lorenzo louis louise luca lucas lucia
lucy luis luisa luke lukas madison manuel marc marcel marco marcus margaret maria mariah marie
marina mario marion mark marlene martha martin martina mary mason mathilda matteo matthew maurice
max maxime maximilian melanie melissa mercedes michael michel michele michelle miguel mike mohamed
mohammed monica monika morgan muhammad nancy natalia natalie natasha nathan nathaniel nicholas
nick nicola nicolas nicole nikita nina noah nora norman oliver olivia omar oscar pablo pamela
patricia patrick paul paula pedro peter philip philipp phillip rachel ralph ramon raphael raul
raymond rebecca regina ricardo richard rick ricky robert roberto robin rodrigo roger roland roman
ronald rosa rose roxanne roy russell ruth ryan sabrina sally sam samantha samuel sandra sandy
santiago sara sarah scott sean sebastian sergio shannon sharon shawn simon simone sofia sophia
sophie stefan stefanie stella stephanie stephen steve steven stuart susan susanne sydney sylvia
tamara tanya tara taylor teresa terry theodore theresa thomas tim timothy tina todd tom tommy tony
travis trevor tyler ursula valentina valeria vanessa veronica victor victoria vincent virginia
vivian walter wendy wilhelm william willy wolfgang xavier yasmin yolanda yvonne zachary zoe
"""
_PLACES: Final = """
amsterdam athens atlanta auckland austin baltimore bangkok barcelona beijing belfast belgrade
berlin birmingham bogota bologna bordeaux boston brighton bristol brisbane brooklyn bruxelles
brussels bucharest budapest cairo calgary cambridge canberra capetown cardiff caracas chicago
cologne copenhagen dallas delhi denver detroit dortmund dresden dubai dublin duesseldorf edinburgh
florence florida frankfurt geneva genova glasgow granada guadalajara hamburg hannover havana
helsinki hongkong honolulu houston istanbul jakarta jerusalem johannesburg karachi kiev koeln
kyoto lahore leeds leicester leipzig liverpool london losangeles lisbon lisboa ljubljana lyon
madrid malaga manchester manhattan manila marseille melbourne memphis mexico miami milan milano
minneapolis montreal moscow muenchen mumbai munich nairobi naples napoli nashville newcastle
newyork nottingham nuernberg oakland orlando oslo ottawa oxford palermo paris philadelphia phoenix
pittsburgh portland porto prague rio riodejaneiro riyadh roma rome rotterdam sacramento salzburg
sanfrancisco sandiego santiago saopaulo sarajevo seattle sevilla shanghai sheffield singapore
sofia southampton stockholm stuttgart sydney taipei tehran tokyo toronto torino toulouse valencia
vancouver venice venezia verona vienna vilnius warsaw warszawa washington wellington wien zagreb
zurich america england scotland ireland wales canada germany deutschland france espana spain italy
italia portugal brasil brazil argentina colombia australia newzealand india pakistan china japan
russia ukraine poland polska holland nederland belgium switzerland austria sweden norway denmark
finland greece turkey turkiye israel egypt morocco nigeria california texas alaska hawaii europe
"""
_CLUBS: Final = """
arsenal chelsea everton tottenham spurs westham astonvilla crystalpalace manutd mancity united
city rangers celtic hearts hibernian realmadrid barca atletico juventus inter intermilan acmilan
lazio fiorentina sampdoria bayern bayernmuenchen borussia schalke werder bremen hertha eintracht
benfica sporting boca bocajuniors riverplate flamengo corinthians palmeiras santos gremio vasco
ajax feyenoord psv galatasaray fenerbahce besiktas olympiakos panathinaikos yankees redsox dodgers
cubs giants mets braves cardinals lakers celtics bulls knicks warriors heat steelers cowboys
packers patriots broncos raiders ravens dolphins vikings redskins seahawks chargers chiefs jets
flyers bruins penguins redwings canucks blackhawks maradona messi ronaldo beckham rooney neymar
zidane
"""

_FAMILIES: Final = """
smith jones johnson williams brown davis miller wilson moore anderson taylor clark lewis walker
hall young king wright lopez hill green adams baker nelson carter mitchell perez roberts turner
phillips campbell parker evans edwards collins stewart morris murphy cook rogers cooper peterson
reed bailey kelly garcia martinez rodriguez hernandez gonzalez sanchez ramirez torres rivera gomez
diaz silva mueller muller schmidt schneider fischer weber meyer wagner becker schulz hoffmann koch
bauer richter klein wolf schroeder neumann schwarz zimmermann dupont durand dubois moreau bernard
petit rossi russo ferrari esposito bianchi romano colombo jansen devries ivanov petrov kowalski
nowak nguyen tran patel singh khan ali woaini yilmaz kaya
"""

FILLERS: Final = frozenset({"my", "no", "the", "new", "fc", "sc", "ac", "is", "mr", "for", "4ever"})
"""What is put before, between or after words, and adds next to nothing."""
WORDS: Final = frozenset(f"{_HABITS} {_THINGS} {_NAMES} {_PLACES} {_CLUBS} {_FAMILIES}".split())
"""Some thousand words in small letters."""
