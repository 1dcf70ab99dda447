#include "plugin.h"

#include <QCoreApplication>
#include <QCryptographicHash>
#include <QDateTime>
#include <QEventLoop>
#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QLocale>
#include <QProcess>
#include <QRegularExpression>
#include <QSettings>
#include <QTextCodec>
#include <QThread>
#include <QThreadStorage>
#include <QTimer>

// Timers, and signals that cross from one thread's loop into another's.
static void loops()
{
    QEventLoop loop;
    QTimer ticks;
    int count = 0;
    QObject::connect(&ticks, &QTimer::timeout, [&] {
        if (++count == 20)
            loop.quit();
    });
    ticks.start(1);
    loop.exec();
    check(count == 20, "a timer does not tick");

    QThread thread;
    QObject there;
    QTimer question;
    Qt::HANDLE asked = nullptr, answered = nullptr;
    there.moveToThread(&thread);
    question.setSingleShot(true);
    QObject::connect(&question, &QTimer::timeout, &there, [&] {
        asked = QThread::currentThreadId();
        QMetaObject::invokeMethod(&loop, [&] {
            answered = QThread::currentThreadId();
            loop.quit();
        }, Qt::QueuedConnection);
    });
    thread.start();
    question.start(1);
    loop.exec();
    thread.quit();
    thread.wait();
    check(asked && asked != answered, "a signal stays in its thread");
    check(answered == QThread::currentThreadId(), "the answer goes elsewhere");
}

// Storage of Qt's own for each thread, let go when the thread ends.
static void threads()
{
    struct Counted {
        QAtomicInt *alive;
        explicit Counted(QAtomicInt *count) : alive(count) { alive->ref(); }
        ~Counted() { alive->deref(); }
    };
    static QThreadStorage<Counted *> storage;
    static QAtomicInt alive, most;
    for (int round = 0; round < 3; round++) {
        QThread *made[8];
        for (QThread *&thread : made) {
            thread = QThread::create([] {
                storage.setLocalData(new Counted(&alive));
                most = qMax(most.loadRelaxed(), alive.loadRelaxed());
                QEventLoop().processEvents();
            });
            thread->start();
        }
        for (QThread *thread : made) {
            thread->wait();
            delete thread;
        }
    }
    check(most.loadRelaxed() > 0 && alive.loadRelaxed() == 0,
          "a thread leaves its storage behind");
}

static void texts(const QString &folder)
{
    const QJsonDocument json = QJsonDocument::fromJson(
        R"({"list": [1, 2.5, true, null, "\u00e9"], "in": {"n": 42}})");
    check(json.object()["in"].toObject()["n"].toInt() == 42, "JSON");
    check(json.object()["list"].toArray().size() == 5, "a list in JSON");
    check(QJsonDocument::fromJson(json.toJson()) == json, "JSON written");

    QRegularExpression date("(?<year>\\d{4})-(?<month>\\d\\d)");
    auto match = date.match("it was 1998-05 then");
    check(match.captured("month") == "05", "a regular expression");
    check(!QRegularExpression("(").isValid(), "a broken expression");

    QTextCodec *codec = QTextCodec::codecForName("EUC-JP");
    check(codec && codec->toUnicode("\xc6\xfc\xcb\xdc")
          == QString::fromUtf8("\u65e5\u672c"), "EUC-JP");
    check(QLocale("de_DE").toString(1234567.5, 'f', 1) == "1.234.567,5",
          "a number in German");
    check(QDateTime::fromSecsSinceEpoch(0, Qt::UTC).toString(Qt::ISODate)
          == "1970-01-01T00:00:00Z", "a date");
    check(QCryptographicHash::hash("abc", QCryptographicHash::Sha1).toHex()
          == "a9993e364706816aba3e25717850c26c9cd0d89d", "SHA-1");

    QByteArray bytes(1000000, 'x');
    check(qUncompress(qCompress(bytes)) == bytes, "what is compressed");
    {
        QSettings settings(folder + "/settings.ini", QSettings::IniFormat);
        settings.setValue("group/list", QStringList{ "a", "b, c" });
        settings.setValue("date", QDate(2000, 2, 29));
    }
    QSettings again(folder + "/settings.ini", QSettings::IniFormat);
    check(again.value("group/list").toStringList().at(1) == "b, c", "a list");
    check(again.value("date").toDate().dayOfYear() == 60, "a stored date");
}

static void children()
{
    QProcess process;
    process.start("tr", { "a-z", "A-Z" });
    process.write("from a child");
    process.closeWriteChannel();
    check(process.waitForFinished(), "a child does not end");
    check(process.readAllStandardOutput() == "FROM A CHILD", "a child's words");
}

// Thrown in this plugin, through Qt's frames, which a function of QtCore's has
// between here and there.
static void exceptions()
{
    struct Ball {};
    bool caught = false;
    QObject object;
    QObject::connect(&object, &QObject::objectNameChanged, [] {
        throw Ball();
    });
    try {
        object.setObjectName("thrower");
    } catch (const Ball &) {
        caught = true;
    }
    check(caught, "an exception does not come through a signal");
}

static std::string run(const std::string &folder)
{
    int count = 1;
    char name[] = "work", *words[] = { name, nullptr };
    QCoreApplication application(count, words);
    loops();
    threads();
    texts(QString::fromStdString(folder));
    children();
    exceptions();
    return "loops, 24 threads, texts, a child, an exception through a signal";
}
